"""What to cite for each database, and who may use it."""

from dualatme_jax import schema

CITATIONS = {
    'casme2': 'Yan et al.: CASME II: An Improved Spontaneous Micro-Expression Database, PLOS ONE 9(1), 2014',
    'smic': 'Li et al.: A Spontaneous Micro-Expression Database: Inducement, Collection and Baseline, '
    'FG 2013',
    'samm': 'Davison et al.: SAMM: A Spontaneous Micro-Facial Movement Dataset, IEEE TAC 9(1), 2018',
    'casme_sq': 'Qu et al.: CAS(ME)^2: A Database for Spontaneous Macro-Expression and Micro-Expression '
    'Spotting and Recognition, IEEE TAC 9(4), 2018',
    'casme3': 'Li et al.: CAS(ME)3: A Third Generation Facial Spontaneous Micro-Expression Database, '
    'IEEE TPAMI 45(3), 2023',
    'mmew': 'Ben et al.: Video-based Facial Micro-Expression Analysis: A Survey, IEEE TPAMI 44(9), 2022',
    '4dme': 'Li et al.: 4DME: A Spontaneous 4D Micro-Expression Dataset, IEEE TAC 14(4), 2023',
    'meview': 'Husak, Cech, Matas: Spotting Facial Micro-Expressions "In the Wild", CVWW 2017',
    'deception': 'Perez-Rosas et al.: Deception Detection using Real-life Trial Data, ICMI 2015',
}


def licence(databases: tuple[str, ...]) -> str:
    """Says under whose terms a dataset made of these databases stands."""
    titles = ', '.join(schema.DATABASE_TITLES[database] for database in databases)
    return (
        f'Derived from {titles}: the licence agreement of each applies, also to what is derived. Do not '
        'pass it on to anyone who has not signed them.'
    )
