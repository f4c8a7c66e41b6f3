"""Looking inside a trained network: receptive fields, feature maps, and what an output comes from."""
