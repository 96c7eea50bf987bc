"""The city's journal without a token: workbooks that a person exported from it, and a list for a person to type from."""
