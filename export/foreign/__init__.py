"""NIR files that other tools wrote: read without assumptions, converted with every choice stated."""
