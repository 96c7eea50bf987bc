"""The words: records, identifiers, operations, errors. Knows no other floor."""
