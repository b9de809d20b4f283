"""The hotline story's tickets: generated, in Chinese and English, with what a clerk would note."""
