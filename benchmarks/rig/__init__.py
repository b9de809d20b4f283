"""What measurements are made of: results, the machine, load, models. Nothing here runs alone."""
