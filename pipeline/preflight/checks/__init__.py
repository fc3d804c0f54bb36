"""What can be wrong with a document: a module for each kind of defect."""
