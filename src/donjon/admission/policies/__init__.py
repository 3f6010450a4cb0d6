"""The rules as policy objects, which the API server applies: what `donjon admission policies` prints and the chart ships."""
