import QtQuick
import QtQuick.Dialogs
import Olivine

FileDialog {
    title: qsTr("Import conversations")
    nameFilters: [qsTr("Conversations (*.json)"), qsTr("All files (*)")]
    onAccepted: App.conversations.import_from(selectedFile)
}
