"""The networks as torch modules of ours. Importing this package imports torch only with its submodules."""
