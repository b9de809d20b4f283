"""Review: the queue of samples, and the desk at which they are labelled."""
