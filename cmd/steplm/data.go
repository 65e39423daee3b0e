package main

// dataCmd is what is done with training data besides training on it.
type dataCmd struct{}
