#!/bin/bash
# Workers of the experiment tiny: each claims runs until none is left to claim.
#SBATCH --array=0-5
#SBATCH --output="/home/me/results/tiny/slurm/log/%A_%a.txt"
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
#SBATCH --job-name="tiny"
#SBATCH --exclusive
#SBATCH --mem="4G"
#SBATCH --partition="short"
#SBATCH --time="2:00:00"
#SBATCH --site-option=x

module load gcc
ulimit -c 0

# In the place of the shell, so that Slurm's warning reaches the worker.
exec /opt/saegrid worker /home/me/results/tiny --requeue --progress line
