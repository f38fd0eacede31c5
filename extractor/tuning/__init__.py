"""Fine-tuning on gold: the prompts that a run asks, with the answers that are right, teach a model.

    gold rows -> variants    the same documents with other values, for epochs after the first
              -> questions   prompts of a run, each with its right answer
              -> targets     token ids; which tokens the constraint leaves open, and what each counts
              -> batches     of like length and the same instructions
              -> training    the loop: loss, held-out F1, checkpoints   <- trainable (all weights, or a LoRA)
              -> a model's folder, or an adapter's

`measuring` asks the engine itself about the held-out documents, `memory` whether the machine has enough. Nothing here
prints or knows the command line.
"""
