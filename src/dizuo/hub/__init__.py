"""The hub's composition: settings, home, app, start. Decides nothing of its own."""
