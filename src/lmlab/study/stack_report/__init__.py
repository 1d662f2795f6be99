"""The report of a study that takes a stack of changes apart."""
