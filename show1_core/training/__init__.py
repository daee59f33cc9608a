"""Training of the cascade: objectives for any Show-1 UNet, and the recipe of the small cascade that ships with the pack."""
