"""An nnU-Net export made on the spot: plans as nnU-Net writes them, a tiny network, no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {"background": 0, "organ": 1, "lesion": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2]}


def plans(
    *,
    patch: tuple[int, ...] = (16, 24, 24),
    spacing: tuple[float, ...] = (2.0, 1.2, 1.2),
    channels: int = 1,
    transpose: tuple[int, int, int] = (0, 1, 2),
    configuration: str = "3d_fullres",
) -> dict[str, Any]:
    """``plans.json`` of a three-stage PlainConvUNet."""
    n = len(patch)
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "Dataset900_Test",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [transpose.index(axis) for axis in range(3)],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(c): {"mean": 20.0, "std": 90.0, "percentile_00_5": -300.0, "percentile_99_5": 250.0}
            for c in range(channels)
        },
        "configurations": {
            configuration: {
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": list(patch),
                "spacing": list(spacing),
                "normalization_schemes": ["CTNormalization"] * channels,
                "use_mask_for_norm": [False] * channels,
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {**resampling, "order": 3},
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": resampling,
                "batch_dice": False,
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet."
                    "PlainConvUNet",
                    "arch_kwargs": {
                        "n_stages": 3,
                        "features_per_stage": [4, 8, 8],
                        "conv_op": f"torch.nn.modules.conv.Conv{n}d",
                        "kernel_sizes": [[3] * n] * 3,
                        "strides": [[1] * n, [2] * n, [2] * n],
                        "n_conv_per_stage": [1, 1, 1],
                        "n_conv_per_stage_decoder": [1, 1],
                        "conv_bias": True,
                        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{n}d",
                        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                        "dropout_op": None,
                        "dropout_op_kwargs": None,
                        "nonlin": "torch.nn.LeakyReLU",
                        "nonlin_kwargs": {"inplace": True},
                    },
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
                },
            }
        },
    }


def dataset(labels: dict[str, Any], channels: int = 1) -> dict[str, Any]:
    """``dataset.json``."""
    regions = {"regions_class_order": [1, 2]} if labels == REGIONS else {}
    names = {str(c): name for c, name in enumerate(("CT", "PET")[:channels])}
    return {"channel_names": names, "labels": labels, "file_ending": ".nii.gz", **regions}


def write_export(
    folder: Path,
    made: dict[str, Any],
    described: dict[str, Any],
    *,
    folds: tuple[str, ...] = ("0",),
    mirror: tuple[int, ...] | None = (0, 1, 2),
    trainer: str = "nnUNetTrainer",
) -> Path:
    """The folder that nnU-Net leaves after training, with weights drawn by lot."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(made))
    (folder / "dataset.json").write_text(json.dumps(described))
    (configuration,) = made["configurations"]
    manager = PlansManager(made)
    settings = manager.get_configuration(configuration)
    for number, fold in enumerate(folds):
        torch.manual_seed(number)
        network = get_network_from_plans(
            settings.network_arch_class_name,
            settings.network_arch_init_kwargs,
            settings.network_arch_init_kwargs_req_import,
            len(described["channel_names"]),
            manager.get_label_manager(described).num_segmentation_heads,
            deep_supervision=True,
        )
        # Spread the logits, so that every label comes out somewhere.
        for name, parameter in network.named_parameters():
            if "seg_layers" in name and parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=1.5)
        (folder / f"fold_{fold}").mkdir()
        torch.save(
            {
                "network_weights": network.state_dict(),
                "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
                "grad_scaler_state": None,
                "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.6)],
                            "dice": [np.array([0.5, 0.25])]},
                "_best_ema": np.float64(0.7),
                "current_epoch": 1000,
                "init_args": {"plans": made, "configuration": configuration, "fold": fold,
                              "dataset_json": described, "device": torch.device("cpu")},
                "trainer_name": trainer,
                "inference_allowed_mirroring_axes": mirror,
            },
            folder / f"fold_{fold}" / "checkpoint_final.pth",
        )  # fmt: skip
    return folder
