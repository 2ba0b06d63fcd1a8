"""Statistics: frames and arrays in, frozen results out; no I/O, no drawing."""
