"""Networks, their weights, and what is said about a garment from them."""
