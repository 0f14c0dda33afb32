"""The ways to run VGG19 forward and backward, and the choice between them."""
