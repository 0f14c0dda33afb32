"""Ways to descend: plain gradient descent, Adam and L-BFGS. Each step takes a canvas and gives the next one."""
