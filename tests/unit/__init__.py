"""Pure functions, no doubles, no clock; a folder for each package of the product."""
