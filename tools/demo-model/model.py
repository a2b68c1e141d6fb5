"""The two towers, the helper heads of training, and the step from the training to the published resolution.

The published towers are of exactly Taiyi-CLIP's architecture, only small: BertForSequenceClassification (the text
feature is the classifier's output) and CLIPVisionModelWithProjection with quick GELU, 224 pixels, patches of 32.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, CLIPVisionConfig, CLIPVisionModelWithProjection

from vocabulary import KINDS, MAX_COUNT, PLACES

DIM = 256
IMAGE_SIDE, PATCH = 224, 32
# Training sees pictures at half the published resolution. A patch embedding is linear, so the trained 16 × 16 kernels
# become 32 × 32 kernels that average 2 × 2 pixels first: the same function of the picture, at a quarter of the pixels.
FOLD = 2
DENSE_LAYER = 3  # after this image layer every patch has to know what it shows

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def text_config(vocabulary_size: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=192,
        num_hidden_layers=3,
        num_attention_heads=6,
        intermediate_size=576,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=128,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        num_labels=DIM,
    )


def image_config(side: int, patch: int) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=5,
        num_attention_heads=6,
        image_size=side,
        patch_size=patch,
        projection_dim=DIM,
        hidden_act="quick_gelu",
    )


class Labels(nn.Module):
    """Reads kinds, counts and place off a unit-length embedding. One set of weights for both modalities.

    This ties the two towers together from the first step on: both have to put 两只老虎 where the same linear map finds
    it, long before the contrastive loss has anything to hold on to. Dropped at export.
    """

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(math.log(16.0)))
        self.kind = nn.Linear(DIM, len(KINDS))
        self.count = nn.Linear(DIM, len(KINDS) * MAX_COUNT)
        self.place = nn.Linear(DIM, len(PLACES))

    def forward(self, unit: torch.Tensor, counts: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """The loss. unit [N, DIM]; counts [N, kinds]: 0 absent, 1–4, 9 present but uncounted; place [N]: −1 unsaid."""
        x = unit * self.scale.exp()
        present = (counts > 0).float()
        some = present.sum(1) > 0
        target = present / present.sum(1, keepdim=True).clamp(min=1)
        loss = F.cross_entropy(self.kind(x)[some], target[some])
        row, kind = ((counts > 0) & (counts <= MAX_COUNT)).nonzero(as_tuple=True)
        if len(row):
            logits = self.count(x).view(-1, len(KINDS), MAX_COUNT)[row, kind]
            # Twice: numbers are the last thing learnt, and what short prompts (两只老虎) are judged by.
            loss = loss + 2 * F.cross_entropy(logits, counts[row, kind].long() - 1)
        if (place >= 0).any():
            loss = loss + F.cross_entropy(self.place(x), place, ignore_index=-1)
        return loss


class Towers(nn.Module):
    def __init__(self, vocabulary_size: int):
        super().__init__()
        # Plain attention: torch's fused one takes half of the whole step on a CPU for such short sequences.
        text, image = text_config(vocabulary_size), image_config(IMAGE_SIDE // FOLD, PATCH // FOLD)
        text._attn_implementation = image._attn_implementation = "eager"
        self.text = BertForSequenceClassification(text)
        self.image = CLIPVisionModelWithProjection(image)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(14.0)))
        self.labels = Labels()
        self.patch_kind = nn.Linear(self.image.config.hidden_size, len(KINDS) + 1)
        self.patch_centre = nn.Linear(self.image.config.hidden_size, 1)

    def embed_text(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        return F.normalize(self.text(**tokens).logits.float(), dim=-1)

    def embed_images(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit embeddings [N, DIM], and the patches' states [N, grid², hidden] after DENSE_LAYER."""
        out = self.image(pixel_values=normalised(pixels), output_hidden_states=True)
        return F.normalize(out.image_embeds.float(), dim=-1), out.hidden_states[DENSE_LAYER][:, 1:]

    def dense_loss(self, states: torch.Tensor, kind: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
        weight = torch.ones(len(KINDS) + 1)
        weight[-1] = 0.15  # most patches show background
        loss = F.cross_entropy(self.patch_kind(states).float().flatten(0, 1), kind.flatten(), weight.to(states.device))
        where = self.patch_centre(states).float().squeeze(-1)
        return loss + 2 * F.binary_cross_entropy_with_logits(where, centre.flatten(1).float())


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 [N, side, side, 3] to what CLIP's preprocessing yields, [N, 3, side, side]."""
    mean, std = torch.tensor(MEAN, device=pixels.device), torch.tensor(STD, device=pixels.device)
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def contrastive_loss(scale: torch.Tensor, text: torch.Tensor, image: torch.Tensor, fit: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE with several right answers.

    fit [texts, images] is how well a caption fits a picture: 1 if it names all kinds in it, less if it names some of
    them only, 0 if it is false. Each caption's softmax over the pictures is to follow its row, and the other way round.
    """
    logits = scale.exp().clamp(max=100) * text @ image.T
    to_image = fit / fit.sum(1, keepdim=True)
    to_text = (fit / fit.sum(0, keepdim=True)).T
    return F.cross_entropy(logits, to_image) + 0.5 * F.cross_entropy(logits.T, to_text)


def published_image_tower(trained: CLIPVisionModelWithProjection) -> CLIPVisionModelWithProjection:
    """The same function at the published resolution; see FOLD."""
    tower = CLIPVisionModelWithProjection(image_config(IMAGE_SIDE, PATCH))
    state = trained.state_dict()
    name = next(n for n in state if n.endswith("patch_embedding.weight"))
    kernel = state[name].repeat_interleave(FOLD, 2).repeat_interleave(FOLD, 3) / FOLD**2
    tower.load_state_dict(state | {name: kernel})
    return tower
