"""What is looked at, in space: depth matched to masks, and `object3d` published for each."""
