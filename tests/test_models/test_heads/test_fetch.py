import torch

from freeseg_mm.models.heads.freeseg_fusion_head import fetch


def test_values_and_shapes_survive():
    tensors = [
        torch.tensor([[True, False]]),
        torch.tensor(2**52 + 1),
        torch.tensor([0.1, -2.5]),
        torch.zeros(0, 3),
    ]

    fetched = fetch(tensors)

    assert [x.shape for x in fetched] == [x.shape for x in tensors]
    assert fetched[0].tolist() == [[1.0, 0.0]]
    assert fetched[1].item() == 2**52 + 1
    assert torch.equal(fetched[2].float(), tensors[2])


def test_one_transfer(monkeypatch):
    transfers = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(
        torch.Tensor, 'cpu', lambda x: transfers.append(1) or cpu(x)
    )

    fetch([torch.ones(2), torch.ones(3), torch.ones(())])

    assert len(transfers) == 1


def test_nothing():
    assert fetch([]) == []
