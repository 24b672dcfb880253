"""Base of the providers that use a LangChain package.

Nothing here knows a vendor.
"""
