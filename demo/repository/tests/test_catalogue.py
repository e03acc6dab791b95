import pytest

from northwind.catalogue import Catalogue, Product


def test_a_product_is_found_by_its_unit():
    tea = Product("TEA-1", "Assam, 500 g", 1_290)
    assert Catalogue((tea,)).find("TEA-1") is tea


def test_an_unknown_unit_says_what_there_is():
    with pytest.raises(LookupError, match="no product 'TEA-2'; there is TEA-1"):
        Catalogue((Product("TEA-1", "Assam, 500 g", 1_290),)).find("TEA-2")


def test_an_empty_catalogue_has_nothing():
    assert len(Catalogue(())) == 0
