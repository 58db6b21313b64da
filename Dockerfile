# README's commands in a box:
#
#   docker build -t freeseg_mm .
#   docker run --rm -v "$PWD/work_dirs:/freeseg_mm/work_dirs" freeseg_mm
#   docker run --rm freeseg_mm make test
#
# With a GPU, whose architecture has to be named since none is there while an
# image is built (9.0 is an H100):
#
#   docker build -t freeseg_mm:cuda --build-arg CUDA_ARCH=9.0 \
#     --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 .
#   docker run --rm --gpus all freeseg_mm:cuda
#
# BASE must have a Python of 3.10 to 3.12 as python3: Debian 12 and Ubuntu 22.04
# or 24.04 do. For CUDA_ARCH it must have nvcc of torch's CUDA, 13.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

ARG CUDA_ARCH=
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y \
      --no-install-recommends python3 python3-venv python3-dev g++ make \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /freeseg_mm
COPY . .
RUN if [ -n "$CUDA_ARCH" ]; then \
      export FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="$CUDA_ARCH"; \
    fi \
 && PIP_NO_CACHE_DIR=1 make setup

CMD ["make", "demo"]
