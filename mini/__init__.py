"""How Show-1 mini is made: the small cascade that ships with the pack."""
