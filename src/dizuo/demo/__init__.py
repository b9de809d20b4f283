"""The demo: the whole loop with real parts on one machine. A program beside the product's."""
