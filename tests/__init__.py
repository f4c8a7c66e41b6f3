"""The tests. A package, so that oracles and the case table can be imported from every folder."""
