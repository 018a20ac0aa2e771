"""The ground floor: photos, pixels, networks and training. Imports none of the other packages."""
