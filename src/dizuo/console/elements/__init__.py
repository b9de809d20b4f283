"""What every page is made of: markup, lists, buttons, figures, pictures, times."""
