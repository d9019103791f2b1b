"""The columns of rows and tables: {name: what it holds, with its unit}, in their order."""

# One evaluated epoch of one fine-tuned model.
ROWS = {
    "protocol": "the training recipe, a name of config.yaml",
    "source": "the source network, a name of config.yaml",
    "target": "the target data set, a name of config.yaml",
    "blocks": "bottleneck blocks trained besides the head",
    "images": "training images of the target",
    "seed": "of the subset, the head, the order and the augmentation",
    "epoch": "after which the network was evaluated, from 1",
    "test_accuracy": "on the whole test set, a fraction",
    "train_accuracy": "over the epoch's images while they train, a fraction",
    "test_loss": "mean cross-entropy on the test set, nats",
    "train_loss": "mean cross-entropy over the epoch's images while they train, nats",
    "seconds": "since the run began; seeds that train together share them equally",
}
SUBSETS = {"seed": "that the subset was drawn with", "image_id": "position among the target's training images, from 0"}
# Figures over fine-tuned models, in long form.
ACCURACY = {
    "quantity": '"accuracy"; "delta", a difference paired by seed; "model", "pair": one of up to 5 behind these; "missing": a cell with '
    "fewer models than planned",
    "target": "the target data set",
    "images": "training images of the target",
    "epochs": "last epochs of the models behind the line; in fig3 the epoch that it is drawn at",
    "source": "the source network; of a printed mean the paper's in the same role",
    "blocks": "bottleneck blocks trained besides the head",
    "minus_source": "of a delta: the source whose accuracy is subtracted",
    "minus_blocks": "of a delta: its trained blocks",
    "mean": "over seeds, a fraction",
    "low": "lower end of the 95% interval over seeds, a fraction; empty for a single model",
    "high": "upper end of that interval",
    "models": "models (of a delta: pairs of models) behind the line; 0 of a printed mean",
    "models_expected": "models that the experiment plans; 0 of a printed mean",
    "run_epochs": "last epochs of the models behind the line",
    "planned_epochs": "the protocol's epochs at this number of images; what has other run_epochs is drawn faint",
}
RESOLUTION = {
    "quantity": ACCURACY["quantity"],
    "target": ACCURACY["target"],
    "pixels": "shorter side of the target's images, as they are or shrunk",
    **{name: words for name, words in ACCURACY.items() if name not in ("quantity", "target")},
}
# S: the perturbed source, T: the target network; "source_target" are attacks of S shown to T.
TRANSFERABILITY_SYNTHETIC = {
    "seed": "of the data, the networks and the deviation",
    "perturbation": "of the source's weights, in units of a deviation uniform in +-0.5",
    "attack": '"first singular vector" of the Jacobian, or as a negative control the "second singular vector"',
    "transfer_loss": "root mean squared error of the source with its last layer solved anew: knowledge transfer",
    "alpha1_source_target": "mean of |D_ST| / |D_TT|",
    "alpha1_target_source": "mean of |D_TS| / |D_SS|",
    "alpha2_source_target": "Frobenius norm of E[unit(D_SS) unit(D_ST)^T]",
    "alpha2_target_source": "the same with S and T exchanged",
    "combined_source_target": "Frobenius norm of E[alpha1 unit(D_SS) unit(D_ST)^T]",
    "combined_target_source": "the same with S and T exchanged",
    "tau1": "mean squared cosine between the two networks' attacks",
    "tau2": "share of T's change that one linear map of S's change explains",
    "gradient_distance": "root mean squared distance of T's Jacobian from the best linear map of S's",
    "left_out": "points at which an attack changes nothing",
}
SYNTHETIC_MEANS = {
    "attack": TRANSFERABILITY_SYNTHETIC["attack"],
    "quantity": "a column of the rows (results/transferability/synthetic/)",
    "perturbation": TRANSFERABILITY_SYNTHETIC["perturbation"],
    "mean": "over seeds",
    "low": "lower end of the 95% interval over seeds; empty for a single seed",
    "high": "upper end of that interval",
    "seeds": "behind the mean",
    "spearman": "rank correlation of the quantity with the perturbation within a seed, mean over seeds",
    "left_out": "points at which an attack changes nothing, in all seeds together",
}
# A source and a reference network of a target, attacked: S is the source, T the reference network, "source_target" are attacks on S shown to T.
TRANSFERABILITY_ROWS = {
    "target": "the target data set",
    "source": "the source network",
    "images": "training images of the linear probe",
    "seed": "of the linear probe, the reference network and the drawn test images",
    "reference_images": "training images of the reference network",
    "norm": 'of the attacks, "l2" or "linf"',
    "epsilon": "radius of the attacks, pixel units [0, 1]",
    "test_images": "drawn",
    "probe_accuracy": "of the source's linear probe on the whole test set, a fraction: knowledge transferability",
    "probe_loss": "its mean cross-entropy there, nats",
    "reference_accuracy": "of the reference network on the whole test set, a fraction",
    "alpha1_source_target": "mean of |D_ST| / |D_TT| over the images; not cut off at 1",
    "alpha2_source_target": "Frobenius norm of E[unit(D_SS) unit(D_ST)^T]",
    "alpha2_squared_source_target": "its square, which the authors tabulate",
    "combined_source_target": "Frobenius norm of E[alpha1 unit(D_SS) unit(D_ST)^T]",
    "combined_squared_source_target": "its square, which the authors tabulate",
    "left_out_source_target": "images at which an attack changes nothing (below 1e-8)",
    "alpha1_target_source": "the same with S and T exchanged",
    "alpha2_target_source": "the same with S and T exchanged",
    "alpha2_squared_target_source": "its square",
    "combined_target_source": "the same with S and T exchanged",
    "combined_squared_target_source": "its square",
    "left_out_target_source": "images at which an attack changes nothing (below 1e-8)",
    "transfer_rate_source_target": "attacks on the cross-entropy of the probe that the reference network gets wrong, a fraction of reference_right",
    "transfer_rate_target_source": "attacks on the cross-entropy of the reference network that the probe gets wrong, a fraction of both_right",
    "own_rate_source": "attacks on the probe's cross-entropy that the probe itself gets wrong, a fraction of both_right",
    "own_rate_target": "attacks on the reference network's cross-entropy that it gets wrong itself, a fraction of reference_right",
    "reference_right": "drawn images that the reference network has right: those that are attacked",
    "both_right": "of these, images that the probe has right too",
}
TRANSFERABILITY = {
    "quantity": '"measure" of a source and a target, or "rank_correlation" of a measure with knowledge transferability over sources',
    "measure": "a column of the rows (results/transferability/)",
    "target": "the target data set; empty for all targets together, each with its mean subtracted",
    "source": "the source network",
    "mean": "of the measure over seeds",
    "low": "lower end of its 95% interval over seeds; empty for a single seed",
    "high": "upper end of that interval",
    "accuracy": "of the source's linear probes, mean over seeds, a fraction",
    "accuracy_low": "lower end of its 95% interval",
    "accuracy_high": "upper end of that interval",
    "loss": "mean cross-entropy of the linear probes on the test set, nats",
    "loss_low": "lower end of its 95% interval",
    "loss_high": "upper end of that interval",
    "reference_accuracy": "of the reference networks, mean over seeds, a fraction",
    "norm": 'of the attacks, "l2" or "linf"',
    "epsilon": "radius of the attacks, pixel units [0, 1]",
    "seeds": "each a linear probe, a reference network and a draw of test images",
    "attacked_images": "that the reference network has right, in all seeds together",
    "left_out": "images at which an attack changes nothing, in all seeds together",
    "against": 'of a correlation: "accuracy" or "loss" of the linear probes',
    "correlation": "Spearman's rank correlation",
    "p": "two-sided, of permutations (within targets)",
    "exact": "whether all permutations were counted",
    "points": "sources, or pairs of a source and a target",
}
TABLE5 = {
    "target": "the target data set",
    "images": "training images of the target",
    "source": "the source network",
    "accuracy_percent": "mean test accuracy after the last epoch with 3 blocks, percent",
    "models": "models behind the mean",
    "published_percent": "printed in the paper, percent; empty where there is none",
    "epochs": "last epochs of the models behind the mean",
}
REPRODUCTION = {
    "target": "the target data set",
    "images": "training images of the target",
    "source": "the source network",
    "published_source": "the paper's source in the same role",
    "accuracy_percent": "mean test accuracy after the last epoch with 3 blocks, percent",
    "low_percent": "lower end of its 95% interval over seeds, percent; empty for a single model",
    "high_percent": "upper end of that interval",
    "models": "models behind the mean",
    "published_percent": "printed in the paper's Table 5, percent",
    "difference_points": "accuracy_percent less published_percent, percentage points",
    "holds": "1 where the interval holds the printed value, 0 where it does not; empty without an interval",
    "expected": "chance that the interval of a mean holds that of as many other models of the same distribution, a fraction (Student's t)",
    "run_epochs": "last epochs of the models behind the mean",
    "planned_epochs": "the protocol's epochs at this number of images; what has other run_epochs is drawn faint",
}
# One inverse of the head's Hessian, on one network.
INFLUENCE_CUT_ROWS = {
    "target": "the target data set",
    "source": "the source network",
    "blocks": "bottleneck blocks trained besides the head",
    "images": "training images of the target",
    "seed": "of the network, as of a fine-tuned one, and of the halves",
    "head": '"fine_tuned", as SGD left it, or "refitted" to its ridge optimum on the fine-tuned network\'s features',
    "inverse": '"cut": pseudo-inverse; "damping": inverse with a number added; "ridge": the refitted head with this ridge; "none": '
    "the head itself",
    "level": "of a cut, the share of the largest eigenvalue up to which others count as 0, in the Hessian of the refitted head with its ridge; of a "
    "damping, what is added to the Hessian of the losses, the ridge of the refitted head included; of a ridge, the ridge; 0 of none",
    "kept": "eigenvalues above the cut; empty of a ridge and of none",
    "score": "linear datamodeling score, mean over queries: Spearman correlation of predicted and real loss over heads retrained on random halves; "
    "empty of a ridge and of none",
    "top1": "queries whose most influential training image has their class, a fraction",
    "three_of_top5": "queries of whose 5 most influential training images at least 3 have their class, a fraction",
    "same_class": "of the training images at ranks 1 to 100, those with the query's class, a fraction",
    "loss": "mean cross-entropy of the queries at the head with this ridge, or at the head itself, nats; empty of other inverses",
    "accuracy": "queries that the head itself classifies right, a fraction; empty but of none",
    "residual_log10": "decimal logarithm of the median over the training images of 1 - p, p the label's probability by the head itself; empty but of none",
    "queries": "number of test images",
    "chance": "training images of the query's class among all, a fraction",
}
INFLUENCE_CUT = {
    "quantity": 'a column of the rows (results/influence_cut/): "score", "top1", "three_of_top5", "same_class", "kept", "loss", "accuracy", '
    '"residual_log10" or "chance"',
    "role": '"robust" or "natural"',
    "head": INFLUENCE_CUT_ROWS["head"],
    "inverse": INFLUENCE_CUT_ROWS["inverse"],
    "level": INFLUENCE_CUT_ROWS["level"],
    "seed": "of the network; empty of a mean over networks",
    "mean": "over the networks, or the value of one",
    "low": "lower end of the 95% interval over seeds; empty for a single network",
    "high": "upper end of that interval",
    "networks": "networks (seeds) behind the value",
    "queries": "test images behind each network's value",
}
SHARES = {
    "queries": 'images whose loss is influenced: "train" or "test"',
    "role": '"robust" or "natural"',
    "rank": "of a training image by falling influence on the query, from 1",
    "same_class_share": "queries whose training image at this rank has their class, a fraction",
    "query_images": "number of queries",
    "train_images": "number of training images",
    "chance": "training images of the query's class among all, a fraction",
    "low": "lower end of the 95% interval over seeds; empty for a single network",
    "high": "upper end of that interval",
    "networks": "networks (seeds) behind the mean share",
}
SHARES_THROUGH = {**SHARES, "through": '"head" or "all weights"'}
SHARES_SUMMARY = {
    "queries": 'images whose loss is influenced: "train" or "test"',
    "role": '"robust" or "natural"',
    "top1_percent": "queries whose most influential training image has their class, percent",
    "paper_top1_percent": "the paper's value (CIFAR-10, ImageNet sources), percent",
    "three_of_top5_percent": "queries of whose 5 most influential training images at least 3 have their class, percent",
    "paper_three_of_top5_percent": "the paper's value, percent",
    "query_images": "number of queries",
    "self_influence": "of training images on themselves: excluded or included",
    "top1_low": "lower end of the 95% interval over seeds, percent; empty for a single network",
    "top1_high": "upper end of that interval",
    "three_of_top5_low": "the same of three_of_top5_percent",
    "three_of_top5_high": "upper end of that interval",
    "networks": "networks (seeds) behind the means",
    "head": "as SGD left it (fine_tuned), or refitted to its ridge optimum",
}
# In units of the root mean square of a matrix's entries, which makes sources comparable, as figure 7's division by the norm does.
CONTRAST = {
    "queries": 'images whose loss is influenced: "train" or "test"',
    "role": '"robust" or "natural"; "robust - natural": difference paired by seed',
    "within": "mean influence of training images of the query's class, in root mean squares of the matrix",
    "between": "mean influence of training images of other classes, in the same unit",
    "contrast": "within less between, mean over seeds",
    "low": "lower end of its 95% interval over seeds; empty for a single network",
    "high": "upper end of that interval",
    "networks": "networks (seeds, or pairs of them) behind the means",
    "self_influence": "of training images on themselves: excluded or included",
}
TRAINED_PARTS = {
    "blocks": "bottleneck blocks trained besides the head",
    "part": "of the network, in the order in which an image passes it: conv1, layer1.0, ..., fc",
    "stage": "0 for what comes before the first stage, -1 for the head",
    "parameters": "number of parameters of the part",
    "trained": "how many of them are trained",
}
ROBUSTNESS = {
    "source": "the source network",
    "norm": '"l2" or "linf"; empty for clean images',
    "epsilon": "radius of the attack, pixel units [0, 1]; 0 for clean images",
    "accuracy": "on the source's own test images, a fraction",
    "images": "number of test images",
    "attack": "with steps and restarts",
    "origin": '"measured" or "training record"',
}
# An attacked image of one network (Nern et al. 2022; their symbols in brackets).
BOUND_ROWS = {
    "target": "the target data set",
    "source": "the source network",
    "blocks": "bottleneck blocks trained besides the head; 0 is a linear probe",
    "images": "training images of the target",
    "seed": "of the network, as of a fine-tuned one",
    "norm": 'of the attack, "l2" or "linf"',
    "epsilon": "radius of the attack, pixel units [0, 1]",
    "image_id": "position among the target's test images, from 0",
    "label": "of the image (y)",
    "prediction": "class that the network gives the image",
    "prediction_adv": "another class that an adversarial point of the image gets, of highest loss; the same class where no point gets another",
    "loss": "cross-entropy of the image, nats",
    "loss_adv": "highest cross-entropy over the image and its adversarial points, nats",
    "sensitivity_estimate": "largest distance of the features of an adversarial point from the image's, L2 (s_hat): a lower estimate of "
    "the sensitivity",
    "sensitivity_representation": "the same over the attacks on the representation alone, which need no head",
    "feature_norm": "L2 norm of the image's features",
    "boundary_distance": "distance of the image's features from the nearest decision boundary (rho)",
    "weight_distance": "largest distance of another row of the head's weights from the label's (D_y), nats per unit of the features",
    "met": "whether the criterion is met: sensitivity_estimate < boundary_distance, beyond rounding",
    "flipped": "whether an adversarial point gets another class than the image",
    "violated": "whether the loss at an adversarial point is further from the image's than weight_distance times the distance of their "
    "features, beyond rounding",
}
BOUND = {
    "quantity": 'of linear probes "loss_gap", "bound" (nats), "accuracy", "accuracy_met", "robust_accuracy", "relative_sensitivity"; '
    '"beyond_pretrained", the share of the images whose loss rose further than the pretrained bound; "flipped", "stands", the share '
    'of the probes\' images whose difference lies in a bin; "rank_correlation" of relative sensitivity and robust accuracy over '
    'sources, and its "permutation_p". As in the summary',
    "target": "the target data set",
    "source": "the source network",
    "blocks": "bottleneck blocks trained besides the head",
    "epsilon": "radius of the attack, pixel units [0, 1]",
    "value": "mean over seeds, or what the quantity says",
    "low": "lower end of the 95% interval over seeds; empty for a single one",
    "high": "upper end of that interval",
    "left": "of a bin of boundary_distance - sensitivity_estimate, relative to the mean norm of the source's features: its lower edge",
    "right": "its upper edge",
    "networks": "networks (seeds) behind the value",
    "points": "of a correlation: sources; of a bin: attacked images in all bins",
}
BOUND_SUMMARY = {
    "target": "the target data set",
    "source": "the source network",
    "blocks": "bottleneck blocks trained besides the head; 0 is a linear probe",
    "images": "training images of the target",
    "norm": 'of the attack, "l2" or "linf"',
    "epsilon": "radius of the attack, pixel units [0, 1]",
    "networks": "networks (seeds)",
    "attacked_images": "attacked images of all networks",
    "violations": "attacked images whose loss moved further than the bound allows; none, or the run fails",
    "contradictions": "attacked images that met the criterion and got another class all the same; none, or the run fails",
    "accuracy": "on the attacked test images before the attack, a fraction",
    "robust_accuracy": "right before and at all adversarial points, a fraction",
    "accuracy_met": "right, and the criterion is met, a fraction; at most robust_accuracy",
    "accuracy_met_representation": "the same with the attacks on the representation alone; no attack on the head is needed for it",
    "loss": "mean, nats",
    "loss_gap": "mean rise of the loss to its highest at an adversarial point, nats",
    "bound": "mean of weight_distance x sensitivity_estimate, nats",
    "pretrained_bound": "with the sensitivity estimate of the linear probe's representation in place of the network's own, nats",
    "beyond_pretrained": "attacked images whose loss rose further than that; it may, where blocks are trained",
    "sensitivity_estimate": "mean, in units of the features: a lower estimate of the sensitivity",
    "relative_sensitivity": "mean of sensitivity_estimate over mean of feature_norm",
    "weight_distance": "mean, nats per unit of the features",
}
# A network and a radius (Zhang et al. 2021).
NONROBUSTNESS_ROWS = {
    "arm": 'the way to the network: "standard" (trained from scratch), "fine_tuned", or "mitigated" (fine-tuned with discrepancy mitigation)',
    "way": "protocol of the fine-tuning, or recipe of the training from scratch",
    "source": "the source network; of a standard network that whose architecture it has",
    "target": "the target data set",
    "blocks": "bottleneck blocks trained besides the head; empty for a standard network",
    "images": "training images of the target",
    "beta": "weight of the mitigation; 0 without",
    "seed": "of the network, as of a fine-tuned one",
    "classes": "of the target",
    "norm": "of the attack",
    "attack": '"pgd", or "autoattack" after it',
    "epsilon": "radius of the attack, pixel units [0, 1]; 0 is none",
    "test_images": "test images that were attacked",
    "clean": "of these, right without an attack",
    "pgd": "right under PGD at this radius and all smaller ones, in all restarts",
    "right": 'right under this attack; of "autoattack", under both',
}
NONROBUSTNESS = {
    "quantity": '"accuracy" (AOI), "adversarial_accuracy" (AAI), "decline_ratio" (of the accuracy, where it is at least twice chance); '
    '"autoattack_accuracy" under PGD and AutoAttack, and "autoattack_loss", by how much that is less than under PGD on the same images',
    "target": "the target data set",
    "arm": '"standard" (trained from scratch), "fine_tuned", or "mitigated" (fine-tuned with discrepancy mitigation)',
    "way": "protocol of the fine-tuning, or recipe of the training from scratch",
    "source": "the source network; of standard networks that whose architecture they have",
    "beta": "weight of the mitigation; 0 without",
    "images": "training images of the target",
    "epsilon": "radius of the attack, pixel units [0, 1]; 0 is none",
    "mean": "over networks (seeds), a fraction",
    "low": "lower end of its 95% interval over seeds; empty for a single network",
    "high": "upper end of that interval",
    "networks": "networks behind the mean",
    "attacked_networks": "networks that were attacked; more where some have no decline ratio",
    "test_images": "attacked test images of each",
}
NONROBUSTNESS_FEATURES_ROWS = {
    "target": "the target data set",
    "quantity": '"cca", mean canonical correlation of a layer of two networks; "cca_shuffled", with the images of one in another order; '
    '"changed", the share of test images whose class a perturbation changes; "pixel" of a perturbation, pixel units [0, 1]',
    "seed": "of the fine-tuned networks",
    "first": 'a network; the one whose features the perturbation moves, or "random" for random signs',
    "second": "the network that it is compared with, or that is perturbed; empty for a pixel",
    "place": "of CCA the layer: 0 after the stem, then the stages; of a pixel its place, by colour, row and column",
    "value": "a share or correlation from 0 to 1, or a pixel's value",
}
NONROBUSTNESS_FEATURES = {
    **{name: words for name, words in NONROBUSTNESS_FEATURES_ROWS.items() if name not in ("seed", "value")},
    "mean": "over seeds; of a pixel the first seed's value",
    "low": "lower end of the 95% interval over seeds; empty for a single one",
    "high": "upper end of that interval",
    "seeds": "behind the mean",
}
TABLE1 = {"hyper_parameter": "in words", "value": "of the experiment's protocol"}
TABLE2 = {
    "images": "training images",
    "targets": "that have this size",
    "epochs": "of a run",
    "evaluated_after": "epochs after which a run is evaluated",
    "seeds": "of each cell; several where cells differ",
    "models": "over all sources, targets and block counts",
}
TABLE3 = {
    "source": "the source network",
    "label": "what figures call it",
    "family": "of sources that belong together",
    "norm": "of the threat it was trained against; empty if natural",
    "epsilon": "of that threat, pixel units [0, 1]",
    "published_accuracy_percent": "clean, as published, percent",
    "clean_accuracy_percent": "on its own test images, percent",
    "images": "number of clean test images",
    "robust_accuracy_percent": "attacked at its own epsilon, percent",
    "attacked_images": "number of attacked test images",
    "attack": "with steps and restarts",
    "origin": '"measured" or "training record"',
}
TABLE4 = {
    "target": "the target data set",
    "label": "what figures call it",
    "training_images": "number of training images",
    "test_images": "number of test images",
    "classes": "number of classes",
    "channels": "1 grey, 3 colour",
    "height": "pixels",
    "width": "pixels",
}
CLAIMS = {
    "id": "of the claim in resources/claims.yaml",
    "paper": "that makes it",
    "section": "section, figure or table of the paper",
    "claim": "in our words",
    "statistic": "that it is tested by; see scripts/advtransfer/tables/claims.py",
    "cells": "how many it was tested on: a target and a number of images each, where the statistic says nothing else",
    "cells_holding": "cells that meet its condition",
    "value": "mean over cells; percentage points of difference, best and agreement, points per doubling of the images of trend",
    "low": "lower end of its 95% interval over seeds; empty where there are none",
    "high": "upper end of that interval",
    "p": "smallest p of its cells, adjusted by Holm's method; empty where none has a test",
    "verdict": '"holds", "mostly", "mixed", "does not hold" or "not testable"',
    "missing": "what is missing, or has to be known",
}
CLAIMS_COMPARED = {
    **CLAIMS,
    **{
        f"{name}_published": f"`{name}` on the paper's own logs"
        for name in ("cells", "cells_holding", "value", "low", "high", "p", "verdict", "missing")
    },
}
