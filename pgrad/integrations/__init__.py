"""pgrad inside other libraries: one thin module each, which imports its library only when it is used."""
