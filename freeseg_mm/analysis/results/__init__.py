"""Results of a test, class by class and image by image."""
