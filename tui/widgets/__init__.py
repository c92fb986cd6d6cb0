"""Parts that the tabs are built of. They know values and messages, and nothing of services."""
