"""The latent course of HPV infection in a simulated female population, as tables.

Apart from ``training.data.cohort.natural_history``, which makes them: HPVsim takes seconds to import, and what is drawn over a
course needs none of it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

GENOTYPES = ("hpv16", "hpv18", "hi5", "ohr")
"""HPV 16, HPV 18, the pool 31/33/45/52/58 and the pool of the other high-risk types."""
NEVER = np.inf


@dataclass(frozen=True)
class Course:
    """The women of a population and their infections. Times are calendar years; ``inf`` means never.

    Attributes
    ----------
    women : DataFrame
        Index 0 … n - 1; ``born, exit`` (death, or ``inf``), ``smoker, immunosuppressed, vaccinated`` bool.
    infections : DataFrame
        ``woman`` (index into ``women``), ``genotype``, ``infected, cleared``.
    """

    women: pd.DataFrame
    infections: pd.DataFrame
