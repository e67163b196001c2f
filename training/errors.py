"""What a user of the training scripts can mend."""

from model.errors import AdainError


class TrainingError(AdainError):
    """Data that cannot be trained on, settings that do not fit, or a loss that went astray."""

    code = "training"
