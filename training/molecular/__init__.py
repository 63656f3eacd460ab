"""The model of molecular measurements: microRNA of real cervical tumours."""
