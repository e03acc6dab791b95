"""Prices, orders and delivery days of Northwind."""
