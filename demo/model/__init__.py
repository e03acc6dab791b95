"""What answers when the demo calls a model, with no account and no key?"""
