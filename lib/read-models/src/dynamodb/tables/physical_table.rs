//! Creates and deletes tables in DynamoDB.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus,
};

use crate::dynamodb::attributes::index_names;
use crate::dynamodb::retry::failed;
use crate::dynamodb::table_numbers::missing;
use crate::{Generation, Index, ReadModelStoreError};

/// How long DynamoDB may take to create or delete a table. It takes seconds, with indexes sometimes a minute.
const TIMEOUT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A table in DynamoDB, with the generation that it was when it was looked up.
#[derive(Debug, Clone)]
pub(in crate::dynamodb) struct PhysicalTable {
    pub(in crate::dynamodb) client: Client,
    pub(in crate::dynamodb) name: String,
    pub(in crate::dynamodb) read_model: String,
    pub(in crate::dynamodb) generation: Generation,
}

#[derive(Debug, thiserror::Error)]
#[error("DynamoDB has not {0} the table {1} within {TIMEOUT:?}")]
struct TableTimeout(&'static str, String);

impl PhysicalTable {
    /// Creates the table, empty. A table of this name is deleted first: its transaction never committed.
    pub(in crate::dynamodb) async fn create(&self) -> Result<(), ReadModelStoreError> {
        self.delete().await?;
        let indexes = [Index::Gsi1, Index::Gsi2, Index::Gsi3];
        let indexes = indexes.map(index).into_iter().collect::<Result<_, _>>().map_err(impossible)?;
        let keys = ["pk", "sk"]
            .into_iter()
            .chain([Index::Gsi1, Index::Gsi2, Index::Gsi3].map(index_names).into_iter().flat_map(|(pk, sk)| [pk, sk]));
        let texts = keys.map(definition).collect::<Result<_, _>>().map_err(impossible)?;
        let create = self.client.create_table().table_name(&self.name).billing_mode(BillingMode::PayPerRequest);
        let create = create.set_attribute_definitions(Some(texts)).set_global_secondary_indexes(Some(indexes));
        let create = create.set_key_schema(Some(schema("pk", "sk").map_err(impossible)?));
        create.send().await.map_err(failed)?;
        self.until(Some(TableStatus::Active), "made").await
    }

    /// Deletes the table, if it exists.
    pub(in crate::dynamodb) async fn delete(&self) -> Result<(), ReadModelStoreError> {
        match self.client.delete_table().table_name(&self.name).send().await {
            Ok(_) => self.until(None, "deleted").await,
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether the table is ready for use.
    pub(in crate::dynamodb) async fn exists(&self) -> Result<bool, ReadModelStoreError> {
        Ok(self.status().await? == Some(TableStatus::Active))
    }

    async fn until(&self, wanted: Option<TableStatus>, done: &'static str) -> Result<(), ReadModelStoreError> {
        let reached = async {
            while self.status().await? != wanted {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Ok(())
        };
        let slow = |_| ReadModelStoreError::Remote(Box::new(TableTimeout(done, self.name.clone())));
        tokio::time::timeout(TIMEOUT, reached).await.map_err(slow)?
    }

    /// `None`: there is no such table.
    async fn status(&self) -> Result<Option<TableStatus>, ReadModelStoreError> {
        match self.client.describe_table().table_name(&self.name).send().await {
            Ok(answer) => Ok(answer.table.and_then(|table| table.table_status)),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(in crate::dynamodb) fn failed<E, R>(&self, error: SdkError<E, R>) -> ReadModelStoreError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        if error.code() == Some("ResourceNotFoundException") {
            return missing(&self.read_model, self.generation);
        }
        failed(error)
    }
}

fn definition(name: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
}

fn schema(pk: &str, sk: &str) -> Result<Vec<KeySchemaElement>, BuildError> {
    [(pk, KeyType::Hash), (sk, KeyType::Range)]
        .map(|(name, kind)| KeySchemaElement::builder().attribute_name(name).key_type(kind).build())
        .into_iter()
        .collect()
}

fn index(index: Index) -> Result<GlobalSecondaryIndex, BuildError> {
    let (pk, sk) = index_names(index);
    let everything = Projection::builder().projection_type(ProjectionType::All).build();
    let index = GlobalSecondaryIndex::builder().index_name(index.name()).projection(everything);
    index.set_key_schema(Some(schema(pk, sk)?)).build()
}

/// A request lacks a required field. Its fields never vary, so this can't happen.
fn impossible(error: BuildError) -> ReadModelStoreError {
    ReadModelStoreError::Remote(Box::new(error))
}
