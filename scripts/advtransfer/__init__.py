"""The library of advtransfer: adversarially trained source networks, fine-tuned on small targets, and measured."""
