"""Images for a product's listing: its data in SQLite, its settings from hotconfig."""
