"""From a message request to one email for each recipient address.

A request meets these modules in this order: request (read, or refuse with every reason), chunks (big audiences),
check (From rule, headers, templates: once a record), expansion and rendering (once a person).
"""
