"""Every model of the zoo measured within a stated budget, each in a process of its own, and one page over all."""
