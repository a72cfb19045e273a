"""One module for each library that can run our graphs; imported when it is chosen."""
