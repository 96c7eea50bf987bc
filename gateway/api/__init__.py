"""The HTTP door: what a session or a token may ask, one OpenAPI document, every route with its row in the policy."""
