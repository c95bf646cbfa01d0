"""A reader that pcscd owns, seen through pcscd (mode ``pcsc``): its library, its process, and the look of one reader."""
