"""The equations of ONNX operators, one file for each family; each holds a table RULES."""
